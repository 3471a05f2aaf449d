"""The compiler: text and options in, artefacts out.  It never imports torch; see README.md for the flow."""
