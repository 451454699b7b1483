// What the lake needs in a subscription: a storage account with hierarchical namespace and three
// containers, an identity for the runs, and, where asked for, a Databricks workspace with its
// Access Connector. docs/how-to/azure.md says the same in words, and what Fabric needs, which has no
// resources here.

targetScope = 'resourceGroup'

@description('Start of all names: 3 to 11 lower-case letters and digits.')
@minLength(3)
@maxLength(11)
param prefix string

@description('Region of everything.')
param location string = resourceGroup().location

@description('Whether a Databricks workspace and its Access Connector are created.')
param withDatabricks bool = false

@description('Whether an Event Hubs namespace with a hub for each stream is created.')
param withEventHubs bool = false

@description('Object ids of Entra groups whose members may read the lake.')
param readers array = []

@description('Issuer of the tokens of a cluster or CI that runs the lakehouse; empty for none.')
param workloadIssuer string = ''

@description('Subject of these tokens, such as system:serviceaccount:lakehouse:runner.')
param workloadSubject string = ''

@description('Public addresses or ranges that may reach the account, the vault and the hubs, such as 203.0.113.0/24. Without any, and without subnets, public networks do not reach them: create private endpoints.')
param allowedAddresses array = []

@description('Resource ids of subnets that may reach the account, the vault and the hubs; they need the service endpoints Microsoft.Storage, Microsoft.KeyVault and Microsoft.EventHub.')
param allowedSubnets array = []

@description('Days for which deleted blobs and containers can be brought back.')
@minValue(1)
@maxValue(365)
param retentionDays int = 30

@description('Resource id of a Log Analytics workspace for the diagnostic logs; empty: one is created.')
param logWorkspaceId string = ''

var contributorRole = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var readerRole = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
var secretsRole = '4633458b-17de-408a-b874-0445c86b69e6'
var receiverRole = 'a638d3c7-ab3a-418d-83e6-5f17a39d4fde'
var someNetworks = !empty(allowedAddresses) || !empty(allowedSubnets)
var containerNames = [
  'lake'
  'landing'
  'models'
]
// The topics of the streams of the domain retail.
var hubNames = [
  'occupancy'
  'thermostat'
]
var logsId = empty(logWorkspaceId) ? logs.id : logWorkspaceId

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: take('${prefix}${uniqueString(resourceGroup().id)}', 24)
  location: location
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    isHnsEnabled: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    allowBlobPublicAccess: false
    // Account keys and account signatures open everything to everyone who has them.
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowCrossTenantReplication: false
    publicNetworkAccess: someNetworks ? 'Enabled' : 'Disabled'
    networkAcls: {
      defaultAction: 'Deny'
      bypass: 'None'
      ipRules: [
        for address in allowedAddresses: {
          value: address
          action: 'Allow'
        }
      ]
      virtualNetworkRules: [
        for subnet in allowedSubnets: {
          id: subnet
          action: 'Allow'
        }
      ]
      // By its identity, not by where it is.
      resourceAccessRules: withDatabricks ? [
        {
          tenantId: tenant().tenantId
          resourceId: connector.id
        }
      ] : []
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: retentionDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: retentionDays
    }
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = if (empty(logWorkspaceId)) {
  name: '${prefix}-logs'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 90
  }
}

// Who read, wrote and deleted what.
resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: '${prefix}-blobs'
  scope: blobs
  properties: {
    workspaceId: logsId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [
  for name in containerNames: {
    parent: blobs
    name: name
  }
]

resource runner 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${prefix}-runner'
  location: location
}

resource federation 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = if (!empty(workloadIssuer)) {
  parent: runner
  name: 'workload'
  properties: {
    issuer: workloadIssuer
    subject: workloadSubject
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}

resource runnerWrites 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (name, index) in containerNames: {
    name: guid(storage.id, name, runner.id, contributorRole)
    scope: containers[index]
    properties: {
      principalId: runner.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributorRole)
    }
  }
]

resource readersRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for reader in readers: {
    name: guid(storage.id, reader, readerRole)
    scope: containers[0]
    properties: {
      principalId: reader
      principalType: 'Group'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', readerRole)
    }
  }
]

resource connector 'Microsoft.Databricks/accessConnectors@2024-05-01' = if (withDatabricks) {
  name: '${prefix}-connector'
  location: location
  identity: {
    type: 'SystemAssigned'
  }
}

resource connectorWrites 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (withDatabricks) {
  name: guid(storage.id, '${prefix}-connector', contributorRole)
  scope: storage
  properties: {
    principalId: connector!.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributorRole)
  }
}

resource workspace 'Microsoft.Databricks/workspaces@2024-05-01' = if (withDatabricks) {
  name: '${prefix}-databricks'
  location: location
  sku: {
    name: 'premium'
  }
  properties: {
    managedResourceGroupId: subscriptionResourceId('Microsoft.Resources/resourceGroups', '${prefix}-databricks-managed')
  }
}

// Secrets of the services: the webhook, the keys of masks and of forgetting, passwords of sources.
resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: take('${prefix}kv${uniqueString(resourceGroup().id)}', 24)
  location: location
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
    publicNetworkAccess: someNetworks ? 'Enabled' : 'Disabled'
    networkAcls: {
      defaultAction: 'Deny'
      bypass: 'None'
      ipRules: [
        for address in allowedAddresses: {
          value: address
        }
      ]
      virtualNetworkRules: [
        for subnet in allowedSubnets: {
          id: subnet
        }
      ]
    }
  }
}

resource vaultLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: '${prefix}-vault'
  scope: vault
  properties: {
    workspaceId: logsId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

resource runnerReadsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, runner.id, secretsRole)
  scope: vault
  properties: {
    principalId: runner.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsRole)
  }
}

// The tier Standard: Basic has no Kafka endpoint, by which the lake reads.
resource events 'Microsoft.EventHub/namespaces@2024-01-01' = if (withEventHubs) {
  name: '${prefix}-events-${uniqueString(resourceGroup().id)}'
  location: location
  sku: {
    name: 'Standard'
    tier: 'Standard'
    capacity: 1
  }
  properties: {
    minimumTlsVersion: '1.2'
    // Tokens of Entra only, no connection strings.
    disableLocalAuth: true
    isAutoInflateEnabled: false
    publicNetworkAccess: someNetworks ? 'Enabled' : 'Disabled'
  }
}

resource eventNetworks 'Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01' = if (withEventHubs) {
  parent: events
  name: 'default'
  properties: {
    defaultAction: 'Deny'
    publicNetworkAccess: someNetworks ? 'Enabled' : 'Disabled'
    trustedServiceAccessEnabled: false
    ipRules: [
      for address in allowedAddresses: {
        ipMask: address
        action: 'Allow'
      }
    ]
    virtualNetworkRules: [
      for subnet in allowedSubnets: {
        subnet: {
          id: subnet
        }
      }
    ]
  }
}

resource hubs 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = [
  for name in (withEventHubs ? hubNames : []): {
    parent: events
    name: name
    properties: {
      partitionCount: 4
      // How long the lake may stand still without losing events.
      messageRetentionInDays: 7
    }
  }
]

resource eventLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (withEventHubs) {
  name: '${prefix}-events'
  scope: events
  properties: {
    workspaceId: logsId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

resource runnerReceives 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (withEventHubs) {
  name: guid(resourceGroup().id, '${prefix}-events', receiverRole)
  scope: events
  properties: {
    principalId: runner.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiverRole)
  }
}

resource workspaceLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (withDatabricks) {
  name: '${prefix}-databricks'
  scope: workspace
  properties: {
    workspaceId: logsId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

@description('For LAKEHOUSE_ROOT.')
output root string = 'abfss://lake@${storage.name}.dfs.${environment().suffixes.storage}/lakehouse'

@description('For LAKEHOUSE_LANDING.')
output landing string = 'abfss://landing@${storage.name}.dfs.${environment().suffixes.storage}/in'

@description('For LAKEHOUSE_MLFLOW_ARTIFACTS.')
output artifacts string = 'abfss://models@${storage.name}.dfs.${environment().suffixes.storage}/mlflow'

@description('For LAKEHOUSE_IDENTITY on a machine that has the runner identity.')
output identity string = '{"kind": "managed_identity", "client_id": "${runner.properties.clientId}"}'

@description('For LAKEHOUSE_STREAM_DEVICES; empty without Event Hubs.')
output devices string = withEventHubs ? 'eventhubs://${events.name}.servicebus.windows.net' : ''

@description('Name of the vault for the secrets of the services.')
output vaultName string = vault.name

@description('Client id of the runner identity, for azure.workload.identity/client-id.')
output runnerClientId string = runner.properties.clientId

@description('For the storage credential in Unity Catalog.')
output connectorId string = withDatabricks ? connector.id : ''
