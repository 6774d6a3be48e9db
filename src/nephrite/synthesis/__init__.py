"""Before and after a synthesizer: conditions, new masks, random intensities, blending."""
