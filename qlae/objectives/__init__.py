"""Loss terms and the players that minimise them."""
