(rule_set (selectors) @name) @def.section
(keyframes_statement (keyframes_name) @name) @def.section
(media_statement . (_) @name) @def.section
(declaration (property_name) @name (#match? @name "^--")) @def.key
