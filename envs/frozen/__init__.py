"""Small networks that ship trained with the package: victims to fool, densities to please, decoders to steer."""
