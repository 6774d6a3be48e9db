"""How results are judged; knows no model."""
