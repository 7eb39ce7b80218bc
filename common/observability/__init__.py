"""Eyes on both processes: how they log, trace and count, set up once at the start of each."""
