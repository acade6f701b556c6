// The last module of a view: all others have run, so what needs them can be shown.

document.documentElement.dataset.ready = "";
