"""Networks that read the observation by themselves, in place of encoder, memory and perceptrons."""
