(element (start_tag (tag_name) @_heading) (text) @name (#match? @_heading "^(h[1-6]|title)$")) @def.section
(start_tag (attribute (attribute_name) @_id (quoted_attribute_value (attribute_value) @name)) (#eq? @_id "id")) @def.key
