package settings

// Markdown returns the reference of all settings, as docs/settings.md holds it.
func Markdown() string { return "" }
