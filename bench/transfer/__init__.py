"""How far what is found with one network, budget and data set holds in others: a table, and a page on it."""
