"""What every room shares: errors, the command line, files that are whole or not there."""
