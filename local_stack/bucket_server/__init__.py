"""A Cloud Storage for one machine: the part of its JSON API that google-cloud-storage and browsers use, on plain files.

What it does as the real service: preconditions (412), checksums, resumable uploads, ranges, paging, generations.
What it does not: access control (everybody may do everything; signatures of links are not checked), object versions,
lifecycle rules, copies.
"""
