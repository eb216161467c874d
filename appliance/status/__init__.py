"""How the box is: one immutable `Status`, the progress of jobs, and what people are told."""
