"""What people see of a task and how they act in it: a canvas, pictures, names of choices, wording."""
