"""The Google-coloured side of the API: one file per port and technology."""
