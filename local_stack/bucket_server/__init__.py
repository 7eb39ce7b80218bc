"""A local Cloud Storage on plain files: the part of its JSON API that darkroom uses.

Implemented as in the real service: preconditions (412), checksums, multipart and resumable uploads,
ranges, paging, generations. Access control is not implemented: every caller has full access, and
signatures of links are not checked.
"""
