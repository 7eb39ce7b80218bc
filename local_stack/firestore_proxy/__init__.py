"""A proxy in front of the Firestore emulator.

It journals confirmed writes and frees streams of closed pages. The emulator keeps everything in
memory, so killing it loses all writes since the last export. It also keeps a web channel for each
page that was ever loaded and buffers every later change for it. Clients therefore connect to this
process. Programs use gRPC; the proxy journals their writes before it responds. Pages use web
channels, which the proxy serves itself and translates into gRPC streams, which the emulator ends.
"""
