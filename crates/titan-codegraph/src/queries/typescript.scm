(class_declaration name: (type_identifier) @name) @def.class
(abstract_class_declaration name: (type_identifier) @name) @def.class
(interface_declaration name: (type_identifier) @name) @def.interface
(type_alias_declaration name: (type_identifier) @name) @def.type
(enum_declaration name: (identifier) @name) @def.class
(internal_module name: (identifier) @name) @def.module
(function_signature name: (identifier) @name) @def.function
(method_signature name: (property_identifier) @name) @def.method
(abstract_method_signature name: (property_identifier) @name) @def.method
(public_field_definition name: [(property_identifier) (private_property_identifier)] @name value: [(arrow_function) (function_expression)]) @def.method
(extends_clause value: (identifier) @base)
(implements_clause [(type_identifier) @base (generic_type name: (type_identifier) @base)])
(extends_type_clause type: [(type_identifier) @base (generic_type name: (type_identifier) @base)])
(property_signature name: (property_identifier) @name type: (type_annotation (function_type))) @def.method
(type_annotation (type_identifier) @use)
(variable_declarator name: (identifier) @var type: (type_annotation (_) @vartype))
(required_parameter pattern: (identifier) @var type: (type_annotation (_) @vartype))
(optional_parameter pattern: (identifier) @var type: (type_annotation (_) @vartype))
(public_field_definition name: [(property_identifier) (private_property_identifier)] @var type: (type_annotation (_) @vartype))
(public_field_definition name: [(property_identifier) (private_property_identifier)] @var !type value: (_) @varvalue)
(property_signature name: (property_identifier) @var type: (type_annotation (_) @vartype))
(type_parameter name: (type_identifier) @var constraint: (constraint (_) @vartype))
(call_expression function: (member_expression object: (_) @vareach) arguments: (arguments . (arrow_function parameters: (formal_parameters . (required_parameter pattern: (identifier) @var !type)))))
(function_declaration return_type: (type_annotation (_) @returns))
(function_signature return_type: (type_annotation (_) @returns))
(method_definition return_type: (type_annotation (_) @returns))
(method_signature return_type: (type_annotation (_) @returns))
(abstract_method_signature return_type: (type_annotation (_) @returns))
(variable_declarator value: (arrow_function return_type: (type_annotation (_) @returns)))
(public_field_definition value: (arrow_function return_type: (type_annotation (_) @returns)))
(property_signature type: (type_annotation (function_type return_type: (_) @returns)))
(type_alias_declaration value: (_) @returns)
(arguments (arrow_function parameters: (formal_parameters (required_parameter pattern: (identifier) @given !type))))
(formal_parameters (_ type: (type_annotation [(function_type parameters: (formal_parameters (_ type: (type_annotation (_) @handed)))) (parenthesized_type (function_type parameters: (formal_parameters (_ type: (type_annotation (_) @handed)))))])))
