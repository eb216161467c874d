"""The daemon: one process that watches devices, keeps the schedule, shows the Status and supervises the jobs.

Each job runs in a child process of its own (`job`), which reports progress as lines of JSON (`lines`).
"""
