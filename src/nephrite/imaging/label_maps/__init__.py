"""Label maps that lie beside a DICOM series: which PNG belongs to which image, regions of DICOM SEG and RTSTRUCT."""
