"""What a synthesizer is asked for and what becomes of its answer: conditions, new masks, random looks, blending."""
