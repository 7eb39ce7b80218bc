"""The Google-coloured side of `common`: only what both processes write to."""
