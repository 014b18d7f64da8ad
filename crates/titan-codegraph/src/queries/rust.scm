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
(let_declaration pattern: [(identifier) @var (mut_pattern (identifier) @var)] type: (_) @vartype)
(let_declaration pattern: [(identifier) @var (mut_pattern (identifier) @var)] !type value: (_) @varvalue)
(let_declaration pattern: (tuple_struct_pattern type: (identifier) @_held . [(identifier) @var (ref_pattern (identifier) @var) (mut_pattern (identifier) @var)] .) value: (_) @vareach (#any-of? @_held "Some" "Ok"))
(let_condition pattern: (tuple_struct_pattern type: (identifier) @_held . [(identifier) @var (ref_pattern (identifier) @var) (mut_pattern (identifier) @var)] .) value: (_) @vareach (#any-of? @_held "Some" "Ok"))
(match_expression value: (_) @vareach body: (match_block (match_arm pattern: (match_pattern (tuple_struct_pattern type: (identifier) @_held . [(identifier) @var (ref_pattern (identifier) @var) (mut_pattern (identifier) @var)] .)))) (#any-of? @_held "Some" "Ok"))
(tuple_struct_pattern type: [(identifier) @vartype (scoped_identifier name: (identifier) @vartype)] . [(identifier) @var (ref_pattern (identifier) @var) (mut_pattern (identifier) @var)] . (#not-any-of? @vartype "Some" "Ok" "Err"))
(let_declaration pattern: [(identifier) @var (mut_pattern (identifier) @var)] !type value: (match_expression body: (match_block (match_arm value: (call_expression) @varvalue))))
(let_declaration pattern: (tuple_pattern . [(identifier) @var (mut_pattern (identifier) @var)]) !type value: (_) @varfirst)
(let_declaration pattern: (tuple_pattern . (_) . [(identifier) @var (mut_pattern (identifier) @var)]) !type value: (_) @varsecond)
(struct_pattern type: (_) @varfield (field_pattern name: (shorthand_field_identifier) @var))
(for_expression pattern: [(identifier) @var (mut_pattern (identifier) @var)] value: (_) @vareach)
(call_expression function: (field_expression value: (_) @vareach) arguments: (arguments . (closure_expression parameters: (closure_parameters . [(identifier) @var (reference_pattern (identifier) @var) (ref_pattern (identifier) @var)] .)) .))
(parameter pattern: [(identifier) @var (mut_pattern (identifier) @var)] type: (_) @vartype)
(field_declaration name: (field_identifier) @var type: (_) @vartype)
(enum_variant name: (identifier) @var body: (ordered_field_declaration_list . type: (_) @vartype .))
(struct_item body: (ordered_field_declaration_list . type: (_) @zeroth))
(struct_item body: (ordered_field_declaration_list . (visibility_modifier) . type: (_) @zeroth))
(const_item name: (identifier) @var type: (_) @vartype)
(static_item name: (identifier) @var type: (_) @vartype)
(type_parameter name: (type_identifier) @var bounds: (trait_bounds [(type_identifier) (generic_type) (scoped_type_identifier)] @vartype))
(where_predicate left: (type_identifier) @var bounds: (trait_bounds [(type_identifier) (generic_type) (scoped_type_identifier)] @vartype))
(function_item return_type: (_) @returns)
(function_signature_item return_type: (_) @returns)
(type_item type: (_) @returns)
(attribute_item (attribute [(identifier) @attribute (scoped_identifier name: (identifier) @attribute)]))
(token_tree (identifier) @callee . (token_tree))
