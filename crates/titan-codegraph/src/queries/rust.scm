(function_item name: (identifier) @name) @def.function
(function_signature_item name: (identifier) @name) @def.function
(struct_item name: (type_identifier) @name) @def.class
(enum_item name: (type_identifier) @name) @def.class
(union_item name: (type_identifier) @name) @def.class
(trait_item name: (type_identifier) @name) @def.interface
(type_item name: (type_identifier) @name) @def.type
(mod_item name: (identifier) @name) @def.module
(macro_definition name: (identifier) @name) @def.macro
(const_item name: (identifier) @name) @def.constant
(static_item name: (identifier) @name) @def.constant
(impl_item type: [(type_identifier) @name (generic_type type: (type_identifier) @name) (scoped_type_identifier name: (type_identifier) @name)]) @def.extension
(impl_item trait: [(type_identifier) @base (generic_type type: (type_identifier) @base) (scoped_type_identifier name: (type_identifier) @base)])
(trait_item bounds: (trait_bounds (type_identifier) @base))
(use_declaration argument: (_) @import)
(call_expression function: (identifier) @callee)
(call_expression function: (generic_function function: (identifier) @callee))
(call_expression function: (field_expression value: (_) @receiver field: (field_identifier) @callee))
(call_expression function: (generic_function function: (field_expression value: (_) @receiver field: (field_identifier) @callee)))
(call_expression function: (scoped_identifier path: (_)? @receiver name: (identifier) @callee))
(call_expression function: (generic_function function: (scoped_identifier path: (_)? @receiver name: (identifier) @callee)))
(macro_invocation macro: [(identifier) @callee (scoped_identifier name: (identifier) @callee)])
(arguments (identifier) @use)
(arguments (scoped_identifier path: (_) @receiver name: (identifier) @use))
(type_identifier) @use
(struct_expression name: (type_identifier) @use)
(let_declaration pattern: (identifier) @var type: (type_identifier) @vartype)
(let_declaration pattern: (identifier) @var type: (generic_type type: (type_identifier) @vartype))
(let_declaration pattern: (identifier) @var value: (struct_expression name: (type_identifier) @vartype))
(let_declaration pattern: (identifier) @var value: (call_expression function: (scoped_identifier path: (identifier) @vartype)))
(let_declaration pattern: (mut_pattern (identifier) @var) value: (call_expression function: (scoped_identifier path: (identifier) @vartype)))
(parameter pattern: (identifier) @var type: [(type_identifier) @vartype (reference_type type: (type_identifier) @vartype) (reference_type type: (generic_type type: (type_identifier) @vartype)) (generic_type type: (type_identifier) @vartype)])
(field_declaration name: (field_identifier) @var type: [(type_identifier) @vartype (generic_type type: (type_identifier) @vartype) (reference_type type: (type_identifier) @vartype)])
(attribute_item (attribute [(identifier) @attribute (scoped_identifier name: (identifier) @attribute)]))
(token_tree (identifier) @callee . (token_tree))
