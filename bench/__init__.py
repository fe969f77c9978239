"""Speed measured against what it could be. Prints tables; no time is ever asserted, machines differ."""
