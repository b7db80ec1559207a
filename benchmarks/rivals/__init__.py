"""What stands beside this suite in the races: other libraries, plain loops, and the settings of both sides."""
