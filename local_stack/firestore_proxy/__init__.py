"""A proxy before the Firestore emulator: it keeps answered writes on disk, and ends what closed pages leave behind.

The emulator keeps everything in memory, so killing it loses what was written since the last export. It also keeps a
web channel for each page that was ever loaded and buffers every later change for it. Clients therefore talk to this
process: programs by gRPC, whose writes it journals before it answers, and pages by web channels that it serves
itself and translates into gRPC streams, which the emulator does end.
"""
