"""Model families: how one architecture prepares, predicts and decodes for the step engine.

A stepping family is three functions over the components of a stock pipeline; its Runs share
batches. Every other pipeline is drawn by `whole_pipeline`, one image at a time.
"""
