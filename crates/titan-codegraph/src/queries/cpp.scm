(class_specifier name: (type_identifier) @name body: (_)) @def.class
(namespace_definition name: (namespace_identifier) @name) @def.module
(function_definition declarator: (function_declarator declarator: (field_identifier) @name)) @def.method
(function_definition declarator: (function_declarator declarator: (qualified_identifier scope: (_) @owner name: [(identifier) (destructor_name)] @name))) @def.method
(function_definition declarator: (pointer_declarator declarator: (function_declarator declarator: (qualified_identifier scope: (_) @owner name: (identifier) @name)))) @def.method
(function_definition declarator: (reference_declarator (function_declarator declarator: (qualified_identifier scope: (_) @owner name: (identifier) @name)))) @def.method
(field_declaration declarator: (function_declarator declarator: (field_identifier) @name)) @def.method
(alias_declaration name: (type_identifier) @name) @def.type
(base_class_clause [(type_identifier) @base (template_type name: (type_identifier) @base) (qualified_identifier name: (type_identifier) @base)])
(call_expression function: (qualified_identifier scope: (_) @receiver name: (identifier) @callee))
(call_expression function: (template_function name: (identifier) @callee))
(new_expression type: (type_identifier) @callee)
(parameter_declaration type: (type_identifier) @vartype declarator: (reference_declarator (identifier) @var))
