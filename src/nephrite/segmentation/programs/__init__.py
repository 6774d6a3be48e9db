"""What programs write that are segmenters, and our own programs that keep the contract of docs/bring-your-own.md."""
