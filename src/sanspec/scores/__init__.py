"""How well predictions agree, every number under one name, and what must hold."""
