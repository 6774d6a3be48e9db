"""What a scan is: files read as volumes, intensity, the in-plane grid, label maps. No torch."""
