(function_definition declarator: (function_declarator declarator: (identifier) @name)) @def.function
(function_definition declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))) @def.function
(struct_specifier name: (type_identifier) @name body: (_)) @def.class
(union_specifier name: (type_identifier) @name body: (_)) @def.class
(enum_specifier name: (type_identifier) @name body: (_)) @def.class
(type_definition declarator: (type_identifier) @name) @def.type
(preproc_def name: (identifier) @name) @def.constant
(preproc_function_def name: (identifier) @name) @def.macro
(preproc_include path: (_) @import)
(call_expression function: (identifier) @callee)
(call_expression function: (field_expression argument: (_) @receiver field: (field_identifier) @callee))
(argument_list (identifier) @use)
(init_declarator value: (identifier) @use)
(initializer_list (identifier) @use)
(initializer_pair value: (identifier) @use)
(type_identifier) @use
(declaration type: (type_identifier) @vartype declarator: [(identifier) @var (pointer_declarator declarator: (identifier) @var) (init_declarator declarator: (identifier) @var) (init_declarator declarator: (pointer_declarator declarator: (identifier) @var))])
(parameter_declaration type: (type_identifier) @vartype declarator: [(identifier) @var (pointer_declarator declarator: (identifier) @var)])
(field_declaration type: (type_identifier) @vartype declarator: [(field_identifier) @var (pointer_declarator declarator: (field_identifier) @var)])
