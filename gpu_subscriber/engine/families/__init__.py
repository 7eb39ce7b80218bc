"""Model families: how one architecture prepares, predicts and decodes for the step engine.

A stepping family is three functions over the components of a stock pipeline; Runs of it share batches. Whatever has
no such family is drawn by `whole_pipeline`, one image at a time.
"""
