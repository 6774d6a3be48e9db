"""What the page of a report shows beside the record: where it comes from, patients with slices, sizes, screening."""
