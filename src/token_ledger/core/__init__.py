"""The pure heart: no SQL, no network, no clock, no environment, no files."""
