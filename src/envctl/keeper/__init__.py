"""A small process between envctl and each program that it starts, so that nothing of the program outlives its time."""
