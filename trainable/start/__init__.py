"""The weights that trials start from, where those are not random: a diffusion model's, or those of a file."""
