"""Who talks with the caller, one strategy a file."""
