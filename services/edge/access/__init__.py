"""The access log: records of requests become lines, a batch at a time, and lines go out without anybody waiting."""
