"""A search as one page: what it shows, computed from the trials, apart from how that is drawn.

`found` is what a page is made of. `shown`, `densities`, `curves`, `progress`, `importance`, `parameters`, `seeds`,
`cost` and `usage` compute what the sections show, as plain values; `charts` describes the pictures in Vega-Lite,
`page` puts everything into one file that asks for nothing.
"""
