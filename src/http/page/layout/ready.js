// The last module of a view: all others have run, so elements that need them can be shown.

document.documentElement.dataset.ready = "";
