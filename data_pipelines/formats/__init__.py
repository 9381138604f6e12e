"""Readers of the published files: each opens one format, checks it whole, and reads by grid."""
