"""A local Cloud Storage: the part of its JSON API that google-cloud-storage and browsers use, on
plain files.

Implemented as in the real service: preconditions (412), checksums, resumable uploads, ranges,
paging, generations. Not implemented: access control (every caller may do everything; signatures of
links are not checked), object versions, lifecycle rules, copies.
"""
