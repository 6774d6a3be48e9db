"""What a scan is: volumes, DICOM, intensity, the pair store, the split, the phantom. No torch."""
