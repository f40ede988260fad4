def page(sections, language, *, base, wadl, openapi):
    return ""
