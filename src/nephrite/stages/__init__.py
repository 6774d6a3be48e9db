"""One function per stage: settings, recorder and paths in; outputs written whole; metrics back."""
