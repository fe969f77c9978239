"""A search as one page: what it shows, computed from the trials, apart from how that is drawn.

`found` is what a page is made of. `densities`, `curves`, `progress`, `importance`, `parameters`, `seeds`, `elsewhere`,
`cost` and `usage` compute what the sections show, as plain values; `answer_charts` and `course_charts` describe the
pictures in Vega-Lite; `answer` and `course` make the sections; `page` puts all into one file that asks for nothing.
"""
