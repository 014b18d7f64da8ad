(class_declaration name: (identifier) @name) @def.class
(class_heritage (identifier) @base)
(field_definition property: (property_identifier) @name value: [(arrow_function) (function_expression)]) @def.method
(jsx_opening_element name: (identifier) @callee)
(jsx_self_closing_element name: (identifier) @callee)
