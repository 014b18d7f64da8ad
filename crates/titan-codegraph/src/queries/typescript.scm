(class_declaration name: (type_identifier) @name) @def.class
(abstract_class_declaration name: (type_identifier) @name) @def.class
(interface_declaration name: (type_identifier) @name) @def.interface
(type_alias_declaration name: (type_identifier) @name) @def.type
(enum_declaration name: (identifier) @name) @def.class
(internal_module name: (identifier) @name) @def.module
(function_signature name: (identifier) @name) @def.function
(method_signature name: (property_identifier) @name) @def.method
(abstract_method_signature name: (property_identifier) @name) @def.method
(public_field_definition name: (property_identifier) @name value: [(arrow_function) (function_expression)]) @def.method
(extends_clause value: (identifier) @base)
(implements_clause (type_identifier) @base)
(extends_type_clause type: (type_identifier) @base)
(type_annotation (type_identifier) @use)
(variable_declarator name: (identifier) @var type: (type_annotation (type_identifier) @vartype))
(required_parameter pattern: (identifier) @var type: (type_annotation (type_identifier) @vartype))
(public_field_definition name: (property_identifier) @var type: (type_annotation (type_identifier) @vartype))
(public_field_definition name: (property_identifier) @var value: (new_expression constructor: (identifier) @vartype))
