"""Series of DICOM in, a segmentation of DICOM out."""
